"""How requests reach pods of one worker each: ways to choose a pod, simulated, and beside what a cluster has shown."""
