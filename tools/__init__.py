"""What the repository needs to keep itself in order. Never part of the installed package."""
