"""The configuration of a HAProxy that makes one queue of several pools: on one machine, and (by the chart) of all pods
of a release."""
