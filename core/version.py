"""The version of this server. CHANGELOG.md says what changed with it, and what an operator must do."""

VERSION = "0.1.0"
