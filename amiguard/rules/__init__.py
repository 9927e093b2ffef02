"""What beyond the jail decides who is banned: each rule a small file, put together in `rulebook`.

A rule is pure, as the jail is: time comes in, a ban or an alarm goes out, and its memory has a bound."""
