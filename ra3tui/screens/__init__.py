"""The screens of the app, and how each reads the store."""
