"""FreeCure (arXiv 2411.15277): what a personalised model no longer does is asked of its own foundation."""
