"""The weights of the blend, fitted on what users did later."""
