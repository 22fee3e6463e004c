// Package apply is the state that operators declare: apps, sessions and orders
// in one format, whether it comes as a YAML or JSON file, over the management
// API or from the demo.
package apply
