"""What the control interface answers: one file a resource."""
