"""Django's PostgreSQL backend, which asks less often whether its connection still lives."""
