"""What an operator registers: agents, connectors, deployments, models."""
