"""What is done for a release: advisories, licences, the list of materials."""
