"""What evaluated models came to: metrics with their intervals, the frontier and its plot."""
