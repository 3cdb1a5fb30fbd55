"""Identity: users, projects, roles, tokens and the catalog."""
