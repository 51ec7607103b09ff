"""What the extension costs, as ratios to the same work written by hand on the same driver."""
