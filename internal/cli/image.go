package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

func (a *app) imageCmd() *cobra.Command {
	c := &cobra.Command{Use: "image", Short: "List, import and remove images",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(a.imageLsCmd(), a.imageImportCmd(), a.imageRmCmd(), a.imagePruneCmd())
	return c
}

func (a *app) imageLsCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List images", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			all, err := h.Images()
			if err != nil {
				return err
			}
			return a.printImages(all)
		},
	})
}

func (a *app) printImages(all []berth.Image) error {
	if a.json {
		return a.printJSON(append([]berth.Image{}, all...)) // none is [], not null
	}
	rows := [][]string{{"DIGEST", "SIZE", "CREATED", "SYSTEM", "REFERENCES"}}
	for _, i := range all {
		rows = append(rows, []string{i.Digest.Short(), size(i.Size), ago(i.Created) + " ago", i.OS, strings.Join(i.Refs, " ")})
	}
	return table(a.Out, rows)
}

func (a *app) imageImportCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "import REFERENCE...", Short: "Read images from their sources, even if they are there already", Args: takes(1, noLimit),
		Example: "  berth image import debian:bookworm\n  berth image import tar:/srv/images/alpine.tar.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			var done []berth.Image
			for _, arg := range args {
				ref, err := container.ParseImageRef(arg)
				if err != nil {
					return usageError(err)
				}
				img, err := h.ImportImage(cmd.Context(), ref)
				if err != nil {
					return err
				}
				done = append(done, img)
			}
			if a.json {
				return a.printJSON(done)
			}
			for _, i := range done {
				fmt.Fprintln(a.Out, i.Digest)
			}
			return nil
		},
	})
}

func (a *app) imageRmCmd() *cobra.Command {
	return &cobra.Command{
		Use: "rm IMAGE...", Short: "Remove images that no container uses, by reference or digest", Args: takes(1, noLimit), ValidArgsFunction: a.completeImage,
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			for _, arg := range args {
				img, err := h.RemoveImage(cmd.Context(), arg)
				if err != nil {
					return err
				}
				a.say("%s: removed", img.Digest.Short())
			}
			return nil
		},
	}
}

func (a *app) imagePruneCmd() *cobra.Command {
	return &cobra.Command{
		Use: "prune", Short: "Remove all images that no container uses", Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			gone, err := h.PruneImages(cmd.Context())
			var freed int64
			for _, i := range gone {
				freed += i.Size
				a.say("%s: removed", i.Digest.Short())
			}
			if err != nil && len(gone) == 0 {
				return err
			}
			images := "images"
			if len(gone) == 1 {
				images = "image"
			}
			a.say("%d %s removed, %s freed", len(gone), images, size(freed))
			return err
		},
	}
}
