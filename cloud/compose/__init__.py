"""The same cloud in containers: what `docker-compose.yml` runs in them, and how it is worked from outside."""
