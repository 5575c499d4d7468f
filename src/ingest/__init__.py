"""IN: what comes over HTTP becomes blobs and events, or a problem document."""
