"""The builder: uploads in, artifacts out."""
