"""Where models come from: a hub, a folder, a file, a wheel, or none of these."""
