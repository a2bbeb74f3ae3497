"""Other projects' REALM weights into ours and back, by name; every tensor is accounted for."""
