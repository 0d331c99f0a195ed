"""A package: pytest stops the system that its tests share after the last of them, not at the end of the whole run."""
