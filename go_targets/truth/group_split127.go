//go:build go1.27 && goexperiment.mapsplitgroup

package truth

const groupLayout = "split"
