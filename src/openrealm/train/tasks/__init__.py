"""The tasks that a `Trainer` trains, one file each; the base encoder's is in `openrealm.base.task`."""
