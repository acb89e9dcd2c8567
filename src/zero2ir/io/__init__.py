"""Files, databases, sockets and the terminal."""
