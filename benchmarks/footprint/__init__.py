"""The sensitivity of the energy and carbon estimates."""
