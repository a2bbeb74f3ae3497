"""Conversion of REALM weights from and to other projects, by name; every tensor is accounted for."""
