"""Where cells come from: control groups and namespaces, a Docker engine, or plain processes."""
