"""Ways to tell people, and programs: mail and webhook. Each fulfils `ports.Notifier`, and none can delay a ban."""
