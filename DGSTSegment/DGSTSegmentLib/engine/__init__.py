"""The worker process that holds the network, and the client that talks to it.

The client's half (``client``, ``conversation``, ``transport``, ``session``, ``protocol``) needs the standard library
and numpy alone; ``worker``, ``handlers``, ``models``, ``machine`` run in the child process.
"""
