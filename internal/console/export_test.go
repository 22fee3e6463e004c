package console

import "slices"

// MostImported is how many orders the page says an import may have.
const MostImported = mostImported

// AppFields and DestinationFields name what the forms have.
func AppFields() []string         { return names(newAppFields, appFields) }
func DestinationFields() []string { return names(newDestinationFields, destinationFields) }

// FormFields names what any of the forms has.
func FormFields() []string {
	return names(newAppFields, appFields, newDestinationFields, destinationFields, faultFields)
}

func names(lists ...[]field) (all []string) {
	for _, f := range slices.Concat(lists...) {
		all = append(all, f.Name)
	}
	return all
}
