"""`python -m antiphon_gateway serve`."""

from antiphon_gateway.app import create_app
from antiphon_gateway.serving import main

main(create_app)
