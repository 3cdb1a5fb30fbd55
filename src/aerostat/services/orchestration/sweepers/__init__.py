"""What is cleaned away in time."""
