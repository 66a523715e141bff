"""Notices that leave the building: a real SMSC, real HTTP and mail servers."""
