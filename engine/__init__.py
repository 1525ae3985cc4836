"""What trains, measures and remembers. Import the module you need: this package imports none of them."""
