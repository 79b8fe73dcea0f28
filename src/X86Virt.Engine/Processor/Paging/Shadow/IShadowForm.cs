namespace X86Virt.Engine.Processor;

/// <summary>Another form of the shadow, kept by whoever has hardware walk it: told of all that is not in the shadow any more.</summary>
internal interface IShadowForm
{
    /// <summary>A slot has another content, or none.</summary>
    void Changed(int table, int index);

    /// <summary>A table was given up.</summary>
    void Released(int table);

    /// <summary>Whether hardware has walked through a table since this was last asked.</summary>
    bool TakeUse(int table);

    /// <summary>Stores to a page of host memory are to be told of from now on.</summary>
    void Traced(int page);
}
