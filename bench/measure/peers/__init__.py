"""Other relays, each as its package has it but for folders, addresses, and name look-ups, which are off."""
