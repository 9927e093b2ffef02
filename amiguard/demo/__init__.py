"""`amiguard demo`: a real attack in private network namespaces, and what the real daemon does about it.

`main` sets up, lets `story` go through its steps, and removes everything; `show` is what people read. `standin` (SIP in
`registrar`, the manager interface in `ami`, what a real Asterisk wrote in `traffic/`) or `asterisk` is the server that
`sip` attacks, `guarded` the daemon, `mailbox` the mail server, `kernel` what the kernel itself says."""
