"""The whole platform on real servers without Docker: `python tools/stack up` and so on.

nginx as the edge, the gateway and eight services, each a process of its own under supervisord, all of them
told what they are by environment variables only, exactly as their READMEs say.
"""
