"""Who uses the gateway: users, their roles, logins and tokens."""
