"""The contracts and runtime parts that the services share."""
