"""What is compared: each a proxy started in a folder of its own, in front of the same upstreams."""
