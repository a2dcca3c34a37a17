"""Manifests of Kubernetes, and the values of corepod's chart in their place."""
