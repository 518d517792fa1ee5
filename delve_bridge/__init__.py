"""Delve's side of gomap: the same commands over Delve's JSON-RPC API, on this machine or another."""
