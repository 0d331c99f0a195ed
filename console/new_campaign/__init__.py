"""What is behind the page "New campaign": who is called, what they hear, when, and what is to be expected of it."""
