"""The tasks a `Trainer` can train, one file each; that of base encoders is in `openrealm.base.task`."""
