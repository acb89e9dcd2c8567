"""Reads and writes files and databases, opens sockets and shows progress in the terminal."""
