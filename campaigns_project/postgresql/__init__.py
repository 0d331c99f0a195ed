"""Django's PostgreSQL backend, which checks less often whether its connection is still alive."""
