"""The gateway's schema in the platform database, a module an aggregate."""

SOURCE = "dbify/gateway"
