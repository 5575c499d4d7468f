"""THROUGH: processors take deliveries from the inboxes, do the knowledge work and ask the domain to record it."""
