"""Who gsx is measured against. Each does the work in the fastest way that we could find, and no more of it than is asked."""
