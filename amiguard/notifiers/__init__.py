"""Ways to tell people: mail. Each fulfils `ports.Notifier`, and none can delay a ban."""
