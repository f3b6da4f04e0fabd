"""The widgets of the terminal app, one file each: they render and post messages, and never touch the store."""
